// Calls a server outside by its name, as any program does; and one that no egress rule names.
const https = require('node:https')

for (const host of ['api.outside.test', 'www.outside.test']) {
  https
    .get(`https://${host}/`, (answer) => {
      answer.setEncoding('utf8').on('data', (text) => console.log(`${host}: ${text}`))
    })
    .on('error', (error) => console.log(`${host}: ${error.code}`))
}
