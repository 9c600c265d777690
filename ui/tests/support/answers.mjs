export function refuse(response, status, error, headers = {}) {
  response.writeHead(status, { 'Content-Type': 'application/json', 'X-Request-Id': 'req-test-1', ...headers });
  response.end(JSON.stringify({ error: { message: '', type: '', code: null, param: null, ...error } }));
}

export const json = (response, status, body, headers = {}) => {
  response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
};
