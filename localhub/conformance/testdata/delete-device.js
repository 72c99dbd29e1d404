// Removes the device that create-device.js made.
'use strict';

const iothub = require('azure-iothub');

iothub.Registry.fromConnectionString(process.env.HUB_CONNECTION_STRING)
  .delete(process.env.DEVICE_ID)
  .catch((err) => {
    console.error(err);
    process.exitCode = 1;
  });
