// Nobody serves this port, so that the public URL leads nowhere; ctna uses another.
module.exports = () => ({ container: 'ctnb', deployment: { port: 65500 } })
