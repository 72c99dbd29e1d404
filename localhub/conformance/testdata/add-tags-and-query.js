// The back end of the tutorial: writes tags and a desired property with the etag
// it read, then runs the two queries and prints what they find.
'use strict';

const iothub = require('azure-iothub');

const registry = iothub.Registry.fromConnectionString(process.env.HUB_CONNECTION_STRING);
const deviceId = process.env.DEVICE_ID;

const queries = [
  ['in the plant', "SELECT * FROM devices WHERE tags.location.plant = 'Redmond43'"],
  ['in the plant on cellular', "SELECT * FROM devices WHERE tags.location.plant = 'Redmond43' AND properties.reported.connectivity = 'cellular'"],
];

async function main() {
  const { responseBody: twin } = await registry.getTwin(deviceId);
  const before = twin.etag;
  await twin.update({
    tags: { location: { region: 'US', plant: 'Redmond43' } },
    properties: { desired: { power_level: 1 } },
  });
  console.log(`updated: etag ${before} -> ${twin.etag}`);

  for (const [label, text] of queries) {
    const query = registry.createQuery(text, 100);
    const { result: twins } = await query.nextAsTwin();
    console.log(`${label}: ${twins.map((t) => t.deviceId).join(', ') || 'none'}`);
  }
}

main().catch((err) => {
  console.error(err);
  process.exitCode = 1;
});
