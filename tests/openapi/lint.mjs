// Lints the OpenAPI document on standard input: by the official schema of OpenAPI 3.1, its schemas
// in Ajv's strict mode (unknown keywords, types that can't be), and so that it is seen that both
// can fail.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Validator } from '@seriousme/openapi-schema-validator';
import Ajv from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

const text = readFileSync(0, 'utf8');
const copy = () => JSON.parse(text);

async function lint(document) {
    const { valid, errors } = await new Validator({ allErrors: true }).validate(document);
    assert.ok(valid, JSON.stringify(errors, null, 1));
}

function compile(document) {
    const ajv = new Ajv({ strict: true, strictRequired: false, allowUnionTypes: true });
    addFormats.default(ajv);
    ajv.addFormat('uint64', true);
    ajv.addKeyword('discriminator');  // OpenAPI's own
    const schemas = JSON.stringify(document.components.schemas);
    const $defs = JSON.parse(schemas.replaceAll('#/components/schemas/', '#/$defs/'));
    for (const name of Object.keys($defs)) {
        ajv.compile({ $defs, $ref: `#/$defs/${name}` });
    }
}

async function refuses(damage, check, word) {
    const document = copy();
    damage(document);
    await assert.rejects(async () => check(document), word);
}

const get = (document) => document.paths['/v1/values/{name}'].get;
const cases = {
    'it is OpenAPI 3.1': () => lint(copy()),
    'its schemas are sound': () => compile(copy()),
    'a missing member is found': () => refuses((d) => delete d.info.version, lint, /'version'/),
    'a member too many is found': () => refuses((d) => { get(d).answers = {}; }, lint, /unevaluated/),
    'a wrong place of a parameter is found': () => refuses((d) => { get(d).parameters[0].in = 'body'; }, lint, /allowed values/),
    'a reference to nothing is found': () => refuses((d) => { get(d).responses.default.$ref += 's'; }, lint, /AnyProblems/),
    'a mistyped keyword is found': () => refuses((d) => { d.components.schemas.Value.requires = []; }, compile, /requires/),
    'an unknown format is found': () => refuses((d) => { d.components.schemas.Index.format = 'u64'; }, compile, /u64/),
};

let failed = 0;
for (const [name, check] of Object.entries(cases)) {
    try {
        await check();
        console.log(`PASS openapi: ${name}`);
    } catch (error) {
        failed += 1;
        console.log(`FAIL openapi: ${name}\n${error.message}`);
    }
}
console.log(`${Object.keys(cases).length - failed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
