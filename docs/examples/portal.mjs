// A platform for docks: reads telemetry and events, answers what docks ask of a platform, sends a command. Needs mqtt (MQTT.js).

import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import mqtt from 'mqtt'

const { DOCKGATE_HOST, DOCKGATE_PORT = '8883', DOCKGATE_ACCOUNT, DOCKGATE_PASSWORD_FILE, DOCKGATE_CA } = process.env

const client = mqtt.connect(`mqtts://${DOCKGATE_HOST}:${DOCKGATE_PORT}`, {
  username: DOCKGATE_ACCOUNT,
  password: readFileSync(DOCKGATE_PASSWORD_FILE, 'utf8').trim(),
  ca: readFileSync(DOCKGATE_CA),
  protocolVersion: 5
})
const asked = new Map() // tid of a command: what it was

// What docks and clouds say to each other. "ids": to give back, else new ones
function message (method, data, ids = { tid: randomUUID(), bid: randomUUID() }) {
  return { ...ids, timestamp: Date.now(), method, data }
}

// Where a dock may upload to. Ask your object storage for credentials that end soon, and for this dock alone
function storageOf (sn) {
  const credentials = { access_key_id: 'ID', access_key_secret: 'KEY', security_token: 'TOKEN', expire: 3600 }
  return { provider: 'minio', endpoint: 'https://storage.example.org', region: 'us-east-1', bucket: 'media', object_key_prefix: sn, credentials }
}

function command (sn, method, data) {
  const said = message(method, data)
  asked.set(said.tid, method)
  client.publish(`thing/product/${sn}/services`, JSON.stringify(said), { qos: 1 })
}

// By the gateway: what happened to a dock
function told (event) {
  console.log('event', event.sn, event.event)
  if (event.event === 'online' && event.device_sn === event.sn) command(event.sn, 'debug_mode_open', {})
}

// With its tid and bid, or the dock takes it for nothing. What is not answered, the gateway refuses
function answer (sn, request) {
  console.log('request', sn, request.method)
  if (request.method !== 'storage_config_get') return
  const { tid, bid } = request
  const reply = message(request.method, { result: 0, output: storageOf(sn) }, { tid, bid })
  client.publish(`thing/product/${sn}/requests_reply`, JSON.stringify(reply), { qos: 1 })
}

client.on('connect', async () => {
  await client.subscribeAsync(['thing/product/+/osd', 'thing/product/+/events', 'thing/product/+/services_reply', 'dockgate/events/+'])
  // at QoS 1: a dock waits for the answer
  await client.subscribeAsync('thing/product/+/requests', { qos: 1 })
  console.log('listening')
})

client.on('message', (topic, payload) => {
  const content = JSON.parse(payload)
  if (topic.startsWith('dockgate/events/')) return told(content)
  const [, , sn, kind] = topic.split('/')
  if (kind === 'requests') answer(sn, content)
  else if (kind === 'services_reply') console.log('answer', sn, asked.get(content.tid) ?? '?', content.data.result)
  else if (kind === 'osd') console.log('telemetry', sn, ...Object.keys(content.data).sort().slice(0, 3))
})

client.on('error', (error) => {
  console.error(error.message)
  process.exitCode = 1
  client.end()
})
