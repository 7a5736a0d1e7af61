// A server outside every deployment, such as a payment provider's.
const https = require('node:https')
const { readFileSync } = require('node:fs')

const options = { key: readFileSync('/tls/key.pem'), cert: readFileSync('/tls/certificate.pem') }
https
  .createServer(options, (request, response) => response.end(`paid, ${request.headers.host}`))
  .listen(443, () => console.log('listens'))
