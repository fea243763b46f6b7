// An ES module, so that what loads those is up.
import 'node:path';
