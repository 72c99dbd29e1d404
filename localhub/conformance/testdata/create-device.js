// Makes a device and prints its connection string.
'use strict';

const iothub = require('azure-iothub');

const connectionString = process.env.HUB_CONNECTION_STRING;
const host = /HostName=([^;]+)/.exec(connectionString)[1];

iothub.Registry.fromConnectionString(connectionString)
  .create({ deviceId: process.env.DEVICE_ID })
  .then(({ responseBody: device }) => {
    console.log(`HostName=${host};DeviceId=${device.deviceId};SharedAccessKey=${device.authentication.symmetricKey.primaryKey}`);
  })
  .catch((err) => {
    console.error(err);
    process.exitCode = 1;
  });
