// What the test tells each client on its standard input (an argument could be seen by others on the machine), and what
// is told back; and the one thing that neither client does for its users, the signed assertion.

import { readFileSync } from 'node:fs';
import { importJWK, SignJWT } from 'jose';

export const told = JSON.parse(readFileSync(0, 'utf8'));

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

export function tell(created, found, task) {
  console.log(JSON.stringify({ created, found, task }));
}
