import { MedplumClient } from '@medplum/core';
import { answer, assertion, told } from './told.mjs';

const configuration = await fetch(`${told.base}/fhir/.well-known/smart-configuration`);
const { token_endpoint: tokenUrl } = await configuration.json();

// Its log-in by assertion asks for no scope, which SMART Backend Services wants.
function fetchWithScope(url, options) {
  const body = url === tokenUrl ? `${options.body}&${new URLSearchParams({ scope: told.scope })}` : options?.body;
  return fetch(url, { ...options, body });
}

const client = new MedplumClient({ baseUrl: told.base, fhirUrlPath: 'fhir', tokenUrl, fetch: fetchWithScope });
await client.startJwtAssertionLogin(await assertion(tokenUrl));

await answer({
  create: (resource) => client.createResource(resource),
  read: (type, id) => client.readResource(type, id),
  find: (type, parameters) => client.searchResources(type, parameters),
});
