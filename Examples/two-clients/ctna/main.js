// Answers whoever comes, through the public URL, with what ctnb says.
const http = require('node:http')

const server = http.createServer((request, response) => {
  http
    .get({ host: process.env.WARP_IST_ctnb, port: 9000 }, (answer) => answer.pipe(response))
    .on('error', (error) => response.writeHead(500).end(`${error.message}\n`))
})
server.listen(process.env.WARP_PORT, () => {
  http.get({ host: process.env.WARP_IST_ctnb, port: 9000 }, (answer) => {
    answer.on('data', (text) => console.log(`ctna heard: ${text}`.trim()))
  })
})
