// Says who asked: the address of a container of ctna.
const http = require('node:http')

http
  .createServer((request, response) => response.end(`hello ${request.socket.remoteAddress}\n`))
  .listen(9000, '0.0.0.0', () => console.log('ctnb listens on 9000'))
