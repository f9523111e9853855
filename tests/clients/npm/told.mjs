// What the test tells each client on its standard input (an argument could be seen by others on the machine), a line at
// a time: first who it is, then what it is to do. And the one thing that neither client does for its users, the signed
// assertion.

import { createInterface } from 'node:readline';
import { importJWK, SignJWT } from 'jose';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

export const told = JSON.parse((await lines.next()).value);

export async function assertion(audience) {
  const { alg, kid } = told.key;
  return new SignJWT()
    .setProtectedHeader({ alg, kid, typ: 'JWT' })
    .setIssuer(told.client)
    .setSubject(told.client)
    .setAudience(audience)
    .setJti(crypto.randomUUID())
    .setExpirationTime('4m')
    .sign(await importJWK(told.key, alg));
}

// Each line is [name, ...arguments] of one of the calls; each answer is a line too.
export async function answer(calls) {
  for await (const line of lines) {
    const [name, ...given] = JSON.parse(line);
    console.log(JSON.stringify(await calls[name](...given)));
  }
}
