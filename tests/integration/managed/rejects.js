void Promise.reject(new Error('at its top'));
setTimeout(() => {}, 100000);
exports.handler = async () => 1;
