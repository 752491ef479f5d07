/** A plain page that shows how to send the first event. */
export const START_PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tallymark</title>
<style>
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
  body { max-width: 44rem; margin: 3rem auto; padding: 0 1rem }
  pre { padding: 1rem; overflow-x: auto; border: 1px solid; border-radius: .5rem }
</style>
<h1>Tallymark</h1>
<p>Exact real-time counters on Redis. The service is running.</p>
<p>Send an event:</p>
<pre>curl -H 'content-type: application/json' \\
  -d '{"type":"page.view","subject":"/"}' \\
  'http://127.0.0.1:8080/v1/events?wait=applied'</pre>
<p>Look it up:</p>
<pre>curl 'http://127.0.0.1:8080/v1/counters/events/value?last=1h'</pre>
<p><a href="/openapi.json">OpenAPI document</a> · <a href="/metrics">metrics</a> · <a href="/readyz">readiness</a></p>
</html>
`;
