// The device of the tutorial: reads its twin, prints each desired patch it
// receives and reports how it is connected. Runs until it is told to stop.
'use strict';

const { Client } = require('azure-iot-device');
const { Mqtt } = require('azure-iot-device-mqtt');

const client = Client.fromConnectionString(process.env.DEVICE_CONNECTION_STRING, Mqtt);

async function main() {
  await client.open();
  console.log('connected');
  const twin = await client.getTwin();
  console.log(`twin read: desired version ${twin.properties.desired.$version}`);
  twin.on('properties.desired', (delta) => {
    console.log(`desired version ${delta.$version}: power_level ${delta.power_level}`);
  });
  await new Promise((resolve, reject) => {
    twin.properties.reported.update({ connectivity: 'cellular' }, (err) => (err ? reject(err) : resolve()));
  });
  console.log('reported: cellular');
}

process.on('SIGTERM', () => client.close(() => process.exit(0)));

main().catch((err) => {
  console.error(err);
  process.exit(1);
});
