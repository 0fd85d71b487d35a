// The chat of `chat-page.jsx` in a real browser, and what it shows.

import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

import { PATIENCE } from './chromium.mjs';

/// Packages in place of those that the page names, for each major version of the SDK.
const PACKAGES = { 6: { ai: 'ai-v6', '@ai-sdk/react': '@ai-sdk/react-v6' }, 7: {} };

const STYLE = `
  body { font: 14px/1.4 sans-serif; width: 640px; margin: 16px }
  pre, p, blockquote { white-space: pre-wrap; overflow-wrap: anywhere }
  [data-part] { display: block }
  [data-part='file'] { margin: 8px 0 }`;

const SCRIPT = '<script type="module" src="/page.js"></script>';

/// Runs in a page. Signs up, signs in again as a returning user does, and creates a conversation. Only the cookies remain.
export async function signIn() {
  const call = async (path, body, headers = {}) => {
    const init = body && {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    };
    const response = await fetch(path, init);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response.json();
  };
  const account = { email: `page-${crypto.randomUUID()}@example.com`, password: 'correct horse battery staple' };
  await call('/api/auth/register', account);
  await call('/api/auth/login', account);
  const { csrf_token: token } = await call('/api/auth/csrf-token');
  const { id } = await call('/api/projects', { name: 'From a page' }, { 'x-csrf-token': token });
  return { project: id, token };
}

/// Serves the chat at the origin of the API, as a product does, with this major version of the SDK. Returns a function
/// that makes the address of a conversation.
export async function serveChat(context, base, major) {
  const { outputFiles } = await build({
    absWorkingDir: fileURLToPath(new URL('.', import.meta.url)),
    entryPoints: ['chat-page.jsx'],
    alias: PACKAGES[major],
    define: { 'process.env.NODE_ENV': '"production"' },
    bundle: true,
    write: false,
    format: 'esm',
    jsx: 'automatic',
  });
  const html = `<!doctype html><meta charset="utf-8"><style>${STYLE}</style><body>${SCRIPT}`;
  const files = { '/page': ['text/html', html], '/page.js': ['text/javascript', outputFiles[0].text] };
  await context.route(
    url => url.pathname in files,
    route => {
      const [contentType, body] = files[new URL(route.request().url()).pathname];
      return route.fulfill({ contentType: `${contentType}; charset=utf-8`, body });
    },
  );
  // A page without an address of its own may not load images from this machine, where the bucket is.
  await context.grantPermissions(['local-network-access'], { origin: new URL(base).origin });
  return project => new URL(`/page?project=${project}`, base).href;
}

/// Sends a message as a person does.
export async function say(page, text, files = []) {
  await page.setInputFiles('[name=files]', files);
  await page.fill('[name=text]', text);
  await page.click('form button');
}

/// Waits until a value of the page fulfils the condition, and returns it. `read` runs in the page.
export async function until(page, read, fulfils) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const value = await page.evaluate(read);
    if (fulfils(value)) return value;
    if (Date.now() > deadline) throw new Error(`the page does not change: ${JSON.stringify(value)}`);
    await delay(20);
  }
}

/// Waits until the page shows these texts.
export const shows = (page, texts) =>
  until(page, () => document.querySelector('main')?.innerHTML, html => html && texts.every(text => html.includes(text)));

/// Waits until no answer is being received, and returns `ready` or `error`. With `after`, there must be as many messages.
export const settled = (page, after = 1) =>
  until(
    page,
    () => [document.querySelectorAll('article').length, document.querySelector('#status')?.textContent],
    ([messages, status]) => messages >= after && ['ready', 'error'].includes(status),
  );

/// Returns what the page shows, as HTML. The digest of its bytes takes the place of a file's address, which is another one
/// once the file is stored.
export async function screen(page, base) {
  const html = await page.evaluate(() => document.querySelector('main')?.innerHTML ?? '');
  let shown = html;
  for (const [, url] of html.matchAll(/(?:src|href)="(data:[^"]*|\/api\/artifacts\/[^"]*)"/g)) {
    shown = shown.replace(url, await digest(page.context(), base, url));
  }
  return shown;
}

async function digest(context, base, url) {
  const bytes = url.startsWith('data:')
    ? Buffer.from(url.slice(url.indexOf(',') + 1), 'base64')
    : await (await context.request.get(new URL(url, base).href)).body();
  return createHash('sha256').update(bytes).digest('hex');
}

/// Returns the text of the answers that the page shows.
export const answers = page =>
  page.evaluate(() => [...document.querySelectorAll('.assistant [data-part=text]')].map(part => part.textContent).join('\n\n'));

/// Returns the picture of what the page shows, when its images are there.
export async function picture(page) {
  await page.bringToFront();
  await page.evaluate(() => Promise.all([...document.images].map(image => image.decode())));
  return page.locator('main').screenshot({ animations: 'disabled' });
}

/// Compares two pictures. Returns the number of their pixels, and of those that differ.
export const compare = (page, one, other) =>
  page.evaluate(
    async pictures => {
      const [one, other] = await Promise.all(
        pictures.map(async picture => {
          const bitmap = await createImageBitmap(await (await fetch(`data:image/png;base64,${picture}`)).blob());
          const { width, height } = bitmap;
          const context = new OffscreenCanvas(width, height).getContext('2d');
          context.drawImage(bitmap, 0, 0);
          return { size: [width, height], data: new Uint32Array(context.getImageData(0, 0, width, height).data.buffer) };
        }),
      );
      if (String(one.size) !== String(other.size)) throw new Error(`the pictures have the sizes ${one.size} and ${other.size}`);
      return { pixels: one.data.length, different: one.data.filter((pixel, at) => pixel !== other.data[at]).length };
    },
    [one, other].map(picture => picture.toString('base64')),
  );
