import { readFileSync } from 'node:fs';

const text = await Promise.resolve('awaited'); // at the top level

export const handler = async (event) => ({ text, url: import.meta.url, event, is: typeof readFileSync });
export default { inDefault: async () => 'default' };
