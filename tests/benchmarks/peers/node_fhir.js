// A FHIR server of @asymmetrik/node-fhir-server-core that keeps the text of each ServiceRequest in PostgreSQL.
// One process for each core; PEER_PORT, PEER_DATABASE (a folder with the socket, and a name) and PEER_PROCESSES.
const cluster = require('cluster');
const { randomUUID } = require('crypto');
const { initialize } = require('@asymmetrik/node-fhir-server-core');
const { Pool } = require('pg');

const pool = new Pool({ connectionString: process.env.PEER_DATABASE, max: 8 });
const table = 'CREATE TABLE IF NOT EXISTS peer_service_request (id uuid PRIMARY KEY, content text NOT NULL)';
const insert = { name: 'insert', text: 'INSERT INTO peer_service_request VALUES ($1, $2)' };

async function create(_, { req }) {
  const id = randomUUID();
  await pool.query({ ...insert, values: [id, JSON.stringify({ ...req.body, id })] });
  return { id, resource_version: '1' };
}

function serve() {
  const profiles = { ServiceRequest: { service: { create }, versions: ['4_0_1'] } };
  initialize({ profiles, logging: { level: 'error' } }).listen(Number(process.env.PEER_PORT), '127.0.0.1');
}

if (cluster.isPrimary) {
  pool.query(table).then(() => {
    for (let number = 0; number < Number(process.env.PEER_PROCESSES); number += 1) cluster.fork();
  });
} else {
  serve();
}
