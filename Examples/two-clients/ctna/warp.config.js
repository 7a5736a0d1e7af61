// Two containers of this service call ctnb. Its public URL goes to the port below.
module.exports = { container: 'ctna', deployment: { port: 8080 } }
