// MQTT.js, led by JSON lines on standard input and telling JSON lines on standard output: see MqttJs in foreign.py.
// MQTT_JS names the folder of its package, for it is installed elsewhere than this file.

import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

const mqtt = createRequire(`${process.env.MQTT_JS}/`)('mqtt')
const tell = (fact) => process.stdout.write(`${JSON.stringify(fact)}\n`)
let client

const deeds = {
  open ({ url, options, will }) {
    client = mqtt.connect(url, { ...options, ...(will && { will: { ...will, payload: Buffer.from(will.payload, 'base64') } }) })
    client.on('connect', (connack) => tell({ connected: Boolean(connack.sessionPresent) }))
    client.on('error', (error) => tell({ refused: error.message }))
    client.on('close', () => tell({ ended: true }))
    client.on('message', (topic, payload, packet) =>
      tell({ topic, payload: payload.toString('base64'), qos: packet.qos, retain: packet.retain }))
  },
  async subscribe ({ filter, qos }) {
    const granted = await client.subscribeAsync(filter, { qos })
    tell({ granted: granted[0].qos })
  },
  async publish ({ topic, payload, qos, retain }) {
    await client.publishAsync(topic, Buffer.from(payload, 'base64'), { qos, retain })
    tell({ published: true })
  },
  async close () {
    await client.endAsync()
    process.exit(0)
  },
  drop () {
    client.stream.destroy()
    process.exit(0)
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const { deed, ...words } = JSON.parse(line)
  Promise.resolve(deeds[deed](words)).catch((error) => tell({ failed: error.message }))
}
