import none from 'no-such-package';
export const handler = async () => none;
