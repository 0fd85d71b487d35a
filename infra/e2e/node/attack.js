// The attempts of a hostile page: to read cookies and storage, to call the API, to leave its frame. The test defines
// `APP` before this script, and sets `control` on a trusted page. Each attempt stores its result in `loot`, or the name
// of the error that stopped it.
globalThis.loot = { ran: true, origin: globalThis.origin };
const attempt = async (name, act) => {
  try {
    globalThis.loot[name] = { got: await act() };
  } catch (error) {
    globalThis.loot[name] = { stopped: String(error?.name ?? error) };
  }
};
const within = (ms, promise) =>
  Promise.race([promise, new Promise((_, reject) => setTimeout(() => reject(new Error('nothing came')), ms))]);
const element = (tag, set) =>
  within(
    1500,
    new Promise((resolve, reject) => {
      const made = document.createElement(tag);
      made.onload = () => resolve('loaded');
      made.onerror = () => reject(new Error('blocked'));
      set(made);
      document.documentElement.append(made);
    }),
  );

(async () => {
  await attempt('cookie', () => document.cookie);
  await attempt('setCookie', () => ((document.cookie = 'planted=1'), document.cookie));
  await attempt('localStorage', () => JSON.stringify(localStorage));
  await attempt('sessionStorage', () => JSON.stringify(sessionStorage));
  await attempt('indexedDB', () => within(1500, new Promise((resolve, reject) => {
    const open = indexedDB.open('loot');
    open.onsuccess = () => resolve('opened');
    open.onerror = () => reject(open.error);
  })));
  await attempt('caches', () => caches.keys());
  await attempt('serviceWorker', () => navigator.serviceWorker.register('worker.js').then(() => 'registered'));
  await attempt('fetch', async () => (await fetch(`${APP}/api/auth/me`, { credentials: 'include' })).text());
  await attempt('blindFetch', async () => (await fetch(`${APP}/api/auth/me`, { credentials: 'include', mode: 'no-cors' })).type);
  await attempt('xhr', () => within(1500, new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.withCredentials = true;
    request.onload = () => resolve(request.responseText);
    request.onerror = () => reject(new Error('blocked'));
    request.open('GET', `${APP}/api/auth/me`);
    request.send();
  })));
  // If the policy blocks a beacon, the call returns `true` nevertheless, and the page gets an event.
  await attempt('beacon', () => new Promise((resolve, reject) => {
    const told = ({ blockedURI }) => blockedURI.includes('/api/projects') && reject(new Error('blocked'));
    document.addEventListener('securitypolicyviolation', told);
    navigator.sendBeacon(`${APP}/api/projects`, '{"name":"planted"}');
    setTimeout(() => resolve('sent'), 1500);
  }));
  await attempt('eventSource', () => within(1500, new Promise((resolve, reject) => {
    const source = new EventSource(`${APP}/api/runs`, { withCredentials: true });
    source.onopen = () => resolve('open');
    source.onerror = () => reject(new Error('blocked'));
  })));
  await attempt('webSocket', () => within(1500, new Promise((resolve, reject) => {
    const socket = new WebSocket(`${APP.replace('http', 'ws')}/`);
    socket.onopen = () => resolve('open');
    socket.onerror = () => reject(new Error('blocked'));
  })));
  await attempt('image', () => element('img', made => (made.src = `${APP}/api/auth/me`)));
  await attempt('script', () => element('script', made => (made.src = `${APP}/api/openapi.json`)));
  await attempt('frame', () => element('iframe', made => (made.src = `${APP}/api/auth/me`)).then(() => {
    const frame = document.querySelector('iframe');
    return frame.contentDocument.body.innerText; // throws if the frame has another origin or is blocked
  }));
  // These two leave the page if they succeed, which would affect the other attempts.
  if (!globalThis.control) await attempt('window', () => {
    const opened = globalThis.open(`${APP}/api/auth/me`);
    if (!opened) throw new Error('blocked');
    return opened.document.body.innerText;
  });
  if (!globalThis.control) await attempt('form', () => {
    const form = document.createElement('form');
    Object.assign(form, { method: 'POST', action: `${APP}/api/projects`, enctype: 'text/plain' });
    document.documentElement.append(form);
    form.submit();
    return 'submitted';
  });
  if (globalThis.parent !== globalThis) {
    await attempt('parent', () => globalThis.parent.document.cookie);
    await attempt('top', () => ((globalThis.top.location = 'about:blank#taken'), 'taken'));
  }
  globalThis.loot.done = true;
})();
