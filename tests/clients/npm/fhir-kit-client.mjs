import { Client } from 'fhir-kit-client';
import { answer, assertion, told } from './told.mjs';

const client = new Client({ baseUrl: `${told.base}/fhir` });
const { tokenUrl } = await client.smartAuthMetadata();
const given = await fetch(tokenUrl, {
  method: 'POST',
  body: new URLSearchParams({
    grant_type: 'client_credentials',
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: await assertion(tokenUrl.href),
    scope: told.scope,
  }),
});
client.bearerToken = (await given.json()).access_token;

await answer({
  create: (body) => client.create({ resourceType: body.resourceType, body }),
  read: (resourceType, id) => client.read({ resourceType, id }),
  find: async (resourceType, searchParams) => {
    const found = await client.search({ resourceType, searchParams });
    return found.entry.map((entry) => entry.resource);
  },
});
