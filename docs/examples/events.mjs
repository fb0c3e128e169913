// The JSON API and its stream of events, with nothing but Node.js 18 or newer: all docks, then each thing that happens to one.

import { readFileSync } from 'node:fs'

const { DOCKGATE_ADMIN = 'http://127.0.0.1:8080', DOCKGATE_TOKEN_FILE } = process.env
const headers = { Authorization: `Bearer ${readFileSync(DOCKGATE_TOKEN_FILE, 'utf8').trim()}` }

async function get (path) {
  const answer = await fetch(`${DOCKGATE_ADMIN}/api/v1${path}`, { headers })
  if (!answer.ok) throw new Error((await answer.json()).error.message)
  return answer
}

for (const dock of await (await get('/docks')).json()) console.log('dock', dock.sn, dock.access_step)

const stream = (await get('/events')).body.pipeThrough(new TextDecoderStream())
console.log('listening')
let text = ''
for await (const part of stream) {
  const lines = (text + part).split('\n')
  text = lines.pop()
  for (const line of lines.filter((each) => each.startsWith('data: '))) {
    const event = JSON.parse(line.slice('data: '.length))
    console.log('event', event.sn, event.event)
  }
}
