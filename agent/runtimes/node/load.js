'use strict';
// From "folder/module.function" to the function.

const fs = require('node:fs');
const path = require('node:path');
const { fault } = require('./errors.js');

/** Whether package.json makes .js files ES modules: the nearest one says. */
function isModulePackage(folder) {
  for (;;) {
    try {
      const text = fs.readFileSync(path.join(folder, 'package.json'), 'utf8');

      return JSON.parse(text).type === 'module';
    } catch (e) {
      if (e.code === undefined) {
        return false; // it is there, and no JSON
      }
    }
    const above = path.dirname(folder);

    if (above === folder || path.basename(folder) === 'node_modules') {
      return false;
    }
    folder = above;
  }
}

function isFile(file) {
  return fs.statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
}

/** The module's exports, or a promise of them. */
function loadModule(root, folder, name) {
  const base = path.resolve(root, folder, name);

  if (isFile(base)) {
    return require(base);
  }
  if (isFile(`${base}.js`)) {
    return isModulePackage(path.dirname(base)) ? importModule(`${base}.js`)
                                               : require(`${base}.js`);
  }
  if (isFile(`${base}.mjs`)) {
    return importModule(`${base}.mjs`);
  }
  if (isFile(`${base}.cjs`)) {
    return require(`${base}.cjs`);
  }
  return require(require.resolve(fs.existsSync(base) ? base : name,
                                 { paths: [root, path.join(root, folder)] }));
}

function importModule(file) {
  return import(require('node:url').pathToFileURL(file).href);
}

function understood(error) {
  if (error instanceof SyntaxError) {
    return fault('Runtime.UserCodeSyntaxError', String(error), error);
  }
  if (error?.code === 'MODULE_NOT_FOUND' || error?.code === 'ERR_MODULE_NOT_FOUND') {
    return fault('Runtime.ImportModuleError', String(error), error);
  }
  return error;
}

function pick(exports, names, handler) {
  const at = (from) => names.reduce((value, name) => value?.[name], from);
  const found = at(exports) ?? at(exports?.default);

  if (found === undefined || found === null) {
    throw fault('Runtime.HandlerNotFound', `${handler} is undefined or not exported`);
  }
  if (typeof found !== 'function') {
    throw fault('Runtime.HandlerNotFound', `${handler} is not a function`);
  }
  return found;
}

/** The handler, or a promise of it if it is in an ES module. */
function load(root, handler) {
  const slash = handler.lastIndexOf('/') + 1;
  const folder = handler.slice(0, slash);
  const [name, ...names] = handler.slice(slash).split('.');

  if (handler.includes('..')) {
    throw fault('Runtime.MalformedHandlerName',
                `'${handler}' is not a valid handler name. Use absolute paths when specifying ` +
                'root directories in handler names.');
  }
  if (name === '' || names.length === 0 || names.includes('')) {
    throw fault('Runtime.MalformedHandlerName', `Bad handler '${handler}': give module.function`);
  }
  let exports;

  try {
    exports = loadModule(root, folder, name);
  } catch (e) {
    throw understood(e);
  }
  if (require('node:util').types.isPromise(exports)) {
    return exports.then((there) => pick(there, names, handler),
                        (e) => { throw understood(e); });
  }
  return pick(exports, names, handler);
}

module.exports = { load };
