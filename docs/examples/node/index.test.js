const test = require('node:test'), assert = require('node:assert');
const {slug} = require('./index.js');
test('slugs', () => assert.strictEqual(slug('Hello World'), 'hello-world'));
