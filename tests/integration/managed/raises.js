throw new RangeError('at its top');
