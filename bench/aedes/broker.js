// aedes with logins, topic rules and the four methods in process, from the same SQLite file as the responders.
// On the command line: PORT TLS_PORT DATABASE SYNCHRONOUS CERTIFICATE KEY
'use strict'

const crypto = require('node:crypto')
const fs = require('node:fs')
const net = require('node:net')
const tls = require('node:tls')
const Database = require('better-sqlite3')
const { Aedes } = require('aedes')

const HOST = '127.0.0.1'
const BACKLOG = 4096
const UNKNOWN = 210230
const OTHER = 210232
const BAD = 200001

const [port, tlsPort, file, synchronous, certificate, key] = process.argv.slice(2)
const db = new Database(file)
db.pragma('journal_mode = WAL')
db.pragma(`synchronous = ${synchronous}`)

const account = db.prepare('SELECT role, salt, digest FROM account WHERE name = ?')
const license = db.prepare('SELECT app_id, app_key, app_license, ntp_server_host, ntp_server_port FROM license')
const device = db.prepare(
  'SELECT d.organization_id, o.name, d.callsign FROM device d LEFT JOIN organization o ON o.id = d.organization_id WHERE d.sn = ?')
const code = db.prepare(
  'SELECT o.id, o.name FROM code c JOIN organization o ON o.id = c.organization_id WHERE c.code = ?')
const store = db.prepare(
  'INSERT INTO device (sn, organization_id, callsign, model_key) VALUES (?, ?, ?, ?) ON CONFLICT (sn) DO UPDATE' +
  ' SET organization_id = excluded.organization_id, callsign = excluded.callsign, model_key = excluded.model_key')

function bindOne (wish) {
  const found = code.get(wish.device_binding_code)
  if (!found || found.id !== wish.organization_id) return { sn: wish.sn, err_code: UNKNOWN }
  const known = device.get(wish.sn)
  if (known && known.organization_id !== null && known.organization_id !== found.id) return { sn: wish.sn, err_code: OTHER }
  store.run(wish.sn, wish.organization_id, wish.device_callsign, wish.device_model_key)
  return { sn: wish.sn, err_code: 0 }
}

const bindAll = db.transaction(wishes => wishes.map(bindOne))

function status ({ sn }) {
  const row = device.get(sn)
  const bound = Boolean(row && row.organization_id !== null)
  return {
    sn,
    is_device_bind_organization: bound,
    organization_id: bound ? row.organization_id : '',
    organization_name: bound ? row.name : '',
    device_callsign: bound ? row.callsign : ''
  }
}

function organization (wish) {
  const found = code.get(wish.device_binding_code)
  if (!found || found.id !== wish.organization_id) return { result: UNKNOWN, output: { organization_name: '' } }
  return { result: 0, output: { organization_name: found.name } }
}

const methods = {
  config: () => license.get(),
  airport_bind_status: data => ({ result: 0, output: { bind_status: data.devices.map(status) } }),
  airport_organization_get: organization,
  airport_organization_bind: data => ({ result: 0, output: { err_infos: bindAll(data.bind_devices) } })
}

function answer (payload) {
  const { tid, bid, gateway, method, data } = JSON.parse(payload)
  const handler = methods[method]
  const told = handler ? handler(data) : { result: BAD, output: {} }
  return JSON.stringify({ tid, bid, gateway, method, timestamp: Date.now(), data: told })
}

function owns (client, topic) {
  const parts = topic.split('/')
  return parts[2] === client.account && (parts[0] === 'thing' || parts[0] === 'sys') && parts[1] === 'product'
}

const options = {
  authenticate (client, name, password, done) {
    const row = account.get(String(name))
    if (!row || !password) return done(null, false)
    const digest = crypto.createHash('sha512').update(password).update(row.salt).digest()
    client.account = String(name)
    client.isService = row.role === 'service'
    done(null, crypto.timingSafeEqual(digest, row.digest))
  },
  authorizePublish (client, packet, done) {
    done(!client || client.isService || owns(client, packet.topic) ? null : new Error('not allowed'))
  },
  authorizeSubscribe (client, subscription, done) {
    done(null, client.isService || owns(client, subscription.topic) ? subscription : null)
  }
}

async function main () {
  const broker = await Aedes.createBroker(options)
  broker.on('publish', (packet, client) => {
    if (!client || !packet.topic.startsWith('thing/product/') || !packet.topic.endsWith('/requests')) return
    broker.publish({ topic: `${packet.topic}_reply`, payload: Buffer.from(answer(packet.payload)), qos: 0, retain: false }, () => {})
  })
  const context = { cert: fs.readFileSync(certificate), key: fs.readFileSync(key) }
  const servers = [
    [net.createServer({ noDelay: true }, broker.handle), port],
    [tls.createServer({ ...context, noDelay: true }, broker.handle), tlsPort]
  ]
  await Promise.all(servers.map(([server, at]) => new Promise(resolve => {
    server.listen({ port: Number(at), host: HOST, backlog: BACKLOG }, resolve)
  })))
  process.on('SIGTERM', () => process.exit(0))
  console.log('ready')
}

main()
