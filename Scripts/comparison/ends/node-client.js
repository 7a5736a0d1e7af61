// node-client.js http|websocket ADDRESS PORT CONNECTIONS REQUESTS: says in JSON what came, and how many a second.
'use strict'
const http = require('http')
const crypto = require('crypto')
const [kind, host, port, connections, requests] = [...process.argv.slice(2, 4), ...process.argv.slice(4).map(Number)]
const seen = { right: 0, wrong: 0, errors: {} }
const error = (e) => { seen.errors[e.code || e.message] = (seen.errors[e.code || e.message] || 0) + 1 }
const body = (n) => crypto.createHash('sha512').update(String(n)).digest().toString('hex').repeat(1 + n % 50)
let sockets = new Set()

function viaHTTP (agent, n) {
  return new Promise((resolve) => {
    const path = n % 100 === 0 ? '/stream' : '/'
    const sent = body(n)
    const request = http.request({ agent, host, port, path, method: 'POST' }, (response) => {
      const pieces = []
      response.on('data', (piece) => pieces.push(piece))
      response.on('error', (e) => { error(e); resolve() })
      response.on('end', () => {
        const came = Buffer.concat(pieces).toString()
        seen[came.endsWith(sent) && came.length === sent.length + (path === '/' ? 0 : 80) ? 'right' : 'wrong']++
        resolve()
      })
    })
    request.on('socket', (socket) => sockets.add(socket))
    request.on('error', (e) => { error(e); resolve() })
    request.end(sent)
  })
}

async function runHTTP () {
  const agent = new http.Agent({ keepAlive: true, maxSockets: connections })
  let next = 0
  await Promise.all(Array.from({ length: connections }, async () => {
    while (next < requests) await viaHTTP(agent, next++)
  }))
  agent.destroy()
}

function viaWebSocket (WebSocket, each) {
  return new Promise((resolve) => {
    const socket = new WebSocket(`ws://${host}:${port}/`, { maxPayload: 64 << 20 })
    let n = 0
    const send = () => socket.send(n % 7 === 0 ? Buffer.from(body(n)) : body(n))
    socket.on('open', () => { sockets.add(socket); send() })
    socket.on('message', (message) => {
      seen[message.toString() === body(n) ? 'right' : 'wrong']++
      if (++n === each) socket.close(1000, 'enough'); else send()
    })
    socket.on('close', (code) => { if (code !== 1000) error(new Error(`closed with ${code}`)); resolve() })
    socket.on('error', error)
  })
}

async function runWebSockets () {
  const { WebSocket } = require('ws')
  await Promise.all(Array.from({ length: connections }, () => viaWebSocket(WebSocket, requests / connections)))
}

const begun = process.hrtime.bigint()
;(kind === 'http' ? runHTTP() : runWebSockets()).then(() => {
  const seconds = Number(process.hrtime.bigint() - begun) / 1e9
  console.log(JSON.stringify({ ...seen, sockets: sockets.size, rate: requests / seconds }))
})
