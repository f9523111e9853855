import { Client } from 'fhir-kit-client';
import { assertion, tell, told } from './told.mjs';

const client = new Client({ baseUrl: `${told.base}/fhir` });
const { tokenUrl } = await client.smartAuthMetadata();
const answer = await fetch(tokenUrl, {
  method: 'POST',
  body: new URLSearchParams({
    grant_type: 'client_credentials',
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: await assertion(tokenUrl.href),
    scope: told.scope,
  }),
});
client.bearerToken = (await answer.json()).access_token;

const created = await client.create({ resourceType: 'ServiceRequest', body: told.referral });
const searchParams = { focus: `ServiceRequest/${created.id}` };
const found = await client.search({ resourceType: 'Task', searchParams });
const task = await client.read({ resourceType: 'Task', id: found.entry[0].resource.id });
tell(created, found.entry.map((entry) => entry.resource), task);
