// mailauth verifies the messages of a folder, and signs others into a second one:
// `mailauth.cjs FOLDER UNSIGNED SIGNED`, as dkimpy.py does.

const fs = require('node:fs');
const path = require('node:path');

const modules = path.join(__dirname, '../../../../target/peers/mailauth/node_modules/mailauth/lib/dkim');
const { dkimVerify } = require(path.join(modules, 'verify.js'));
const { dkimSign } = require(path.join(modules, 'sign.js'));

const [folder, unsigned, signed] = process.argv.slice(2);
const lines = fs.readFileSync(path.join(folder, 'keys'), 'utf8').trim().split('\n');
const keys = new Map(lines.map((line) => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)]));
const messages = (of) => fs.readdirSync(of).filter((name) => name.endsWith('.eml')).sort();
const key = (name) => fs.readFileSync(path.join(folder, name), 'utf8');

async function resolver(name) {
  if (keys.has(name)) return [[keys.get(name)]];
  throw Object.assign(new Error(name), { code: 'ENOTFOUND' });
}

async function main() {
  for (const name of messages(folder)) {
    const { results } = await dkimVerify(fs.readFileSync(path.join(folder, name)), { resolver });
    const words = results.map(({ status }) => (status.result === 'pass' ? 'pass' : 'fail'));
    console.log([path.basename(name, '.eml'), ...words].join(' '));
  }
  const kinds = [['rsa', 'rsa-sha256', key('rsa.pem')], ['ed', 'ed25519-sha256', key('ed25519.pem')]];
  const forms = ['simple', 'relaxed'].flatMap((header) => ['simple', 'relaxed'].map((body) => `${header}/${body}`));
  for (const name of messages(unsigned)) {
    const message = fs.readFileSync(path.join(unsigned, name));
    for (const canonicalization of forms) {
      for (const [selector, algorithm, privateKey] of kinds) {
        const signatureData = [{ signingDomain: 'a.example', selector, privateKey, algorithm, canonicalization }];
        const { signatures, errors } = await dkimSign(message, { signTime: new Date(1e12), signatureData });
        if (errors.length) throw errors[0].err;
        const file = `${path.basename(name, '.eml')}-mailauth-${canonicalization.replace('/', '-')}-${selector}.eml`;
        fs.writeFileSync(path.join(signed, file), Buffer.concat([Buffer.from(signatures), message]));
      }
    }
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
