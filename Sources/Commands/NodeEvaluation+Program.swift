import Model

extension NodeEvaluation {
  /// The program that Node runs: its standard output is the value, or the failure, and nothing else.
  ///
  /// JSON has no undefined, no function, no NaN, and nothing that an object inherits: JSON.stringify
  /// passes them over. Where one of our keys is such a thing the module fails instead, since a service
  /// whose `private` got lost would have a public URL.
  static let evaluator = """
    const [, file, shown] = process.argv
    const fs = require('node:fs')
    const write = process.stdout.write.bind(process.stdout)
    // What the module prints is for its author, and no part of its value.
    process.stdout.write = process.stderr.write.bind(process.stderr)
    const end = (text, status) => write(text, () => process.exit(status))

    const needed = 'it must be a CommonJS module: module.exports = {...}'
    const top = \(list(ServiceDeclaration.keys))
    const inner = \(list(ServiceDeclaration.deploymentKeys))
    let real = file
    let source = ''
    let isWaiting = false

    // The line in which the module says what `key` is, where it is one line alone.
    function line(key) {
      const name = key.replace(/[^\\w]/g, '\\\\$&')
      const said = new RegExp(`(?<![\\\\w$.])(["']?)${name}\\\\1\\\\s*([:,}(]|$)|\\\\.${name}\\\\s*=[^=]`)
      const found = source.split('\\n').flatMap((text, index) =>
        said.test(text.replace(/(^|\\s)\\/\\/.*/, '')) ? [index + 1] : [])
      return found.length === 1 ? found[0] : undefined
    }

    function fail(error) {
      const lines = String(error?.stack).split('\\n')
      // A syntax error's stack begins with its place; another's first frame is one, or Node's own.
      const place = /^\\/.*:\\d+$/.test(lines[0])
        ? lines[0]
        : lines.find((line) => /^ +at .*\\/.*:\\d+:\\d+\\)?$/.test(line) && !/[( ]node:/.test(line))
      const [, path, number] = /(\\/.*?):(\\d+)(:\\d+)?\\)?$/.exec(place ?? '') ?? []
      const isError = error instanceof Error
      let message = error instanceof Unusable ? error.message
        : isError ? `${error.name}: ${error.message}` : `threw ${JSON.stringify(error)}`
      if (error instanceof SyntaxError && /\\b(export|import)\\b/.test(error.message))
        message += `; ${needed}`
      end(JSON.stringify({
        path: !path || path === real ? shown : path,
        line: error?.line ?? (number && Number(number)),
        message: message.split('\\n')[0],
      }), \(failureStatus))
    }

    // A value that could be read, but not used.
    class Unusable extends Error {
      constructor(message, line) {
        super(message)
        this.stack = ''
        this.line = line
      }
    }

    // Throws where JSON would lose what one of `keys` says.
    function check(object, keys, prefix) {
      if (object === null || typeof object !== 'object') return
      for (const key of keys) {
        if (!(key in object)) continue
        const value = object[key]
        const kind = value === undefined || Number.isNaN(value) ? `${value}`
          : ['function', 'symbol', 'bigint'].includes(typeof value) ? `a ${typeof value}`
          : typeof value === 'number' && !Number.isFinite(value) ? `${value}`
          : Object.prototype.propertyIsEnumerable.call(object, key) ? undefined
          : 'inherited or not enumerable, so that it would be lost'
        if (kind) throw new Unusable(
          `${prefix}${key}: is ${kind}; leave it out, or give it a value`, line(key))
      }
    }

    // A promise that nothing is left to resolve: Node would end as if all were well.
    process.on('beforeExit', () => {
      if (!isWaiting) return
      isWaiting = false
      fail(new Unusable('exports a promise that never resolves', line('exports')))
    })
    process.on('uncaughtException', fail)
    ;(async () => {
      real = fs.realpathSync(file)
      source = fs.readFileSync(real, 'utf8')
      const exported = require(file)
      // Newer Nodes load it all the same, but its value is not what the platform takes.
      if (exported?.[Symbol.toStringTag] === 'Module') throw new TypeError(needed)
      if (!/\\bexports\\b/.test(source) && Object.keys(exported ?? {}).length === 0)
        throw new Unusable(`exports nothing; ${needed}`)
      isWaiting = true
      let value = await (typeof exported === 'function' ? exported() : exported)
      isWaiting = false
      if (typeof value?.toJSON === 'function') value = value.toJSON()
      check(value, top, '')
      check(value?.deployment, inner, 'deployment.')
      const text = JSON.stringify(value)
      if (text === undefined) throw new TypeError(`${typeof value} is no object`)
      const lines = {}
      const note = (object, prefix) => {
        if (object !== null && typeof object === 'object')
          for (const key of Object.keys(object).slice(0, 100)) lines[prefix + key] = line(key)
      }
      note(value, '')
      note(value?.deployment, 'deployment.')
      end(`${JSON.stringify(lines)}\\n${text}`, 0)
    })().catch(fail)
    """

  /// A list of texts in JavaScript; none has a quote in it.
  private static func list(_ texts: [String]) -> String {
    "[\(texts.map { "'\($0)'" }.joined(separator: ", "))]"
  }
}
