const none = require('no-such-package');
exports.handler = async () => none;
