// HTTP with connections that are kept, answers before the request has come, and a WebSocket echo (package ws).
'use strict'
const http = require('http')
const { WebSocketServer } = require('ws')

const server = http.createServer((request, response) => {
  if (request.url === '/early') { // what is too large is answered without being read
    response.writeHead(413, { 'Content-Type': 'text/plain', Connection: 'close' })
    response.end('too large, said early\n')
    return
  }
  const pieces = []
  request.on('data', (piece) => pieces.push(piece))
  request.on('end', () => {
    const body = Buffer.concat(pieces)
    if (request.url === '/stream') { // by chunks, with pauses
      let left = 10
      const next = () => (left-- ? (response.write(`chunk ${left}\n`), setTimeout(next, 5)) : response.end(body))
      return next()
    }
    response.end(body.length ? body : 'hello\n')
  })
})
server.listen({ port: Number(process.argv[2]), host: '0.0.0.0', backlog: 1024 })
server.keepAliveTimeout = 60000

new WebSocketServer({ server, maxPayload: 64 << 20 }).on('connection', (socket) => {
  socket.on('message', (message, isBinary) => socket.send(message, { binary: isBinary }))
  socket.on('ping', () => {})
})
