import assert from 'node:assert/strict';
import { picture } from './support/browser.mjs';
import { answer, seeingModel, textModel } from './support/server.mjs';
import { ask, phase, suite, until } from './support/suite.mjs';

const { page: browserTest, server } = suite();

const thumbnails = (page) => page.locator('.composer figure');
const choose = (page, ...files) => page.locator('input[type=file]').setInputFiles(files);
const file = (name, mimeType, buffer) => ({ name, mimeType, buffer });

/** The images of a request, decoded in the page: what the model would see. */
async function sent(page, request = server.chats.at(-1)) {
  const parts = request.messages.at(-1).content;
  assert.ok(Array.isArray(parts), 'the message holds no image');
  const urls = parts.filter(({ type }) => type === 'image_url').map((part) => part.image_url.url);
  return page.evaluate(
    (urls) => Promise.all(urls.map(async (url) => {
      const image = new Image();
      image.src = url;
      await image.decode();
      const canvas = document.createElement('canvas');
      canvas.width = image.naturalWidth;
      canvas.height = image.naturalHeight;
      const context = canvas.getContext('2d');
      context.drawImage(image, 0, 0);
      const at = (x, y) => [...context.getImageData(x, y, 1, 1).data].slice(0, 3);
      return {
        type: url.slice(5, url.indexOf(';')), width: canvas.width, height: canvas.height, url,
        first: at(0, 0), last: at(canvas.width - 1, canvas.height - 1),
      };
    })),
    urls,
  );
}

/** Gives files to the page as the clipboard or a drag would. */
function give(page, kind, files, text = '') {
  return page.evaluate(
    ({ kind, files, text }) => {
      const data = new DataTransfer();
      for (const { name, type, base64 } of files) {
        data.items.add(new File([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], name, { type }));
      }
      if (text) data.setData('text/plain', text);
      const target = document.querySelector(kind === 'paste' ? '#message' : 'header');
      if (kind === 'paste') {
        const event = new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true });
        target.dispatchEvent(event);
        return event.defaultPrevented;
      }
      const event = new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true });
      target.dispatchEvent(event);
      return event.defaultPrevented;
    },
    { kind, files: files.map(({ name, mimeType, buffer }) => ({ name, type: mimeType, base64: buffer.toString('base64') })), text },
  );
}

browserTest('a small PNG is sent as it is, with its price shown, before the text', async ({ page }) => {
  const red = await picture(page, { width: 640, height: 480 });
  await choose(page, file('red.png', 'image/png', red));
  await thumbnails(page).waitFor();
  assert.match(await thumbnails(page).innerText(), /640×480 · 300 tokens · \d+ KB/);
  await ask(page, 'What colour?');
  await phase(page, 'done');
  const [image] = await sent(page);
  assert.deepEqual([image.type, image.width, image.height, image.first], ['image/png', 640, 480, [255, 0, 0]]);
  const parts = server.chats[0].messages[0].content;
  assert.deepEqual(parts.map(({ type }) => type), ['image_url', 'text']);
  assert.equal(await thumbnails(page).count(), 0, 'the composer is empty again');
  assert.equal(await page.locator('.question img').count(), 1);
});

browserTest('large and foreign pictures become JPEG of at most 1536 pixels', async ({ page }) => {
  for (const [type, name] of [['image/webp', 'a.webp'], ['image/jpeg', 'a.jpg'], ['image/png', 'a.png']]) {
    const bytes = await picture(page, { width: 3000, height: 2000, colour: '#0000ff', type });
    await choose(page, file(name, type, bytes));
    await page.getByText('1536×1024 · 1,536 tokens').waitFor();
    await page.getByRole('button', { name: 'Send' }).click();
    await phase(page, 'done');
    const [image] = await sent(page);
    assert.deepEqual([image.type, image.width, image.height], ['image/jpeg', 1536, 1024], name);
    await page.getByRole('button', { name: 'New chat' }).click();
  }
});

browserTest('a message may be a picture alone', async ({ page }) => {
  await choose(page, file('red.png', 'image/png', await picture(page, { width: 64, height: 64 })));
  await thumbnails(page).waitFor();
  await page.press('#message', 'Enter');
  await phase(page, 'done');
  assert.deepEqual(server.chats[0].messages[0].content.map(({ type }) => type), ['image_url']);
});

browserTest('what is sent while a picture is read goes out with it', async ({ page }) => {
  await page.locator('.state.ready').waitFor();
  // The reading is held up until the message was sent.
  await page.evaluate(() => {
    const real = globalThis.createImageBitmap;
    globalThis.createImageBitmap = async (...given) => {
      await new Promise((resolve) => (globalThis.goOn = resolve));
      return real(...given);
    };
  });
  await choose(page, file('red.png', 'image/png', await picture(page, { width: 64, height: 64 })));
  await ask(page, 'What is it?');
  await page.locator('.hint').getByText('Goes out in a moment…').waitFor();
  assert.equal(server.chats.length, 0);
  await page.waitForFunction(() => globalThis.goOn);
  await page.evaluate(() => globalThis.goOn());
  await phase(page, 'done');
  assert.deepEqual(server.chats[0].messages[0].content.map(({ type }) => type), ['image_url', 'text']);
});

/** Puts an EXIF block in front of a JPEG: turned by 90 degrees, with a text that must not leave the machine. */
function withExif(jpeg) {
  const tiff = Buffer.alloc(64);
  tiff.write('MM\0*', 0, 'latin1');
  tiff.writeUInt32BE(8, 4);
  tiff.writeUInt16BE(1, 8);
  tiff.writeUInt16BE(0x0112, 10); // orientation
  tiff.writeUInt16BE(3, 12);
  tiff.writeUInt32BE(1, 14);
  tiff.writeUInt16BE(6, 18); // turn clockwise
  tiff.write('SECRET-PLACE', 40, 'latin1');
  const body = Buffer.concat([Buffer.from('Exif\0\0', 'latin1'), tiff]);
  const head = Buffer.alloc(4);
  head.writeUInt16BE(0xffe1, 0);
  head.writeUInt16BE(body.length + 2, 2);
  return Buffer.concat([jpeg.subarray(0, 2), head, body, jpeg.subarray(2)]);
}

browserTest('a photo is turned upright and loses its metadata', async ({ page }) => {
  const base64 = await page.evaluate(() => {
    const canvas = document.createElement('canvas');
    canvas.width = 400;
    canvas.height = 200;
    const context = canvas.getContext('2d');
    context.fillStyle = '#ff0000';
    context.fillRect(0, 0, 200, 200);
    context.fillStyle = '#0000ff';
    context.fillRect(200, 0, 200, 200);
    return canvas.toDataURL('image/jpeg', 1).split(',')[1];
  });
  const photo = withExif(Buffer.from(base64, 'base64'));
  assert.ok(photo.includes('SECRET-PLACE'));
  await choose(page, file('photo.jpg', 'image/jpeg', photo));
  await page.getByText('200×400').waitFor();
  await ask(page, 'Where is this?');
  await phase(page, 'done');
  const [image] = await sent(page);
  assert.deepEqual([image.width, image.height], [200, 400]);
  assert.ok(image.first[0] > 200 && image.first[2] < 60, 'red is on top');
  assert.ok(image.last[2] > 200 && image.last[0] < 60, 'blue is below');
  const bytes = Buffer.from(image.url.slice(image.url.indexOf(',') + 1), 'base64');
  assert.equal(bytes.includes('SECRET-PLACE'), false);
  assert.equal(bytes.includes('Exif'), false);
});

browserTest('pasting attaches a picture, and leaves text alone that comes with one', async ({ page }) => {
  const red = file('image.png', 'image/png', await picture(page, { width: 64, height: 64 }));
  assert.equal(await give(page, 'paste', [red], 'a cell of a sheet'), false, 'the text is what was meant');
  assert.equal(await give(page, 'paste', [red]), true);
  await thumbnails(page).waitFor();
  assert.equal(await thumbnails(page).count(), 1);
});

browserTest('a picture can be dropped anywhere, and no file takes the page away', async ({ page }) => {
  const red = file('red.png', 'image/png', await picture(page, { width: 64, height: 64 }));
  await give(page, 'dragenter', [red]);
  await page.getByText('Drop pictures here').waitFor();
  assert.equal(await give(page, 'dragover', [red]), true);
  assert.equal(await give(page, 'drop', [red, file('notes.txt', 'text/plain', Buffer.from('x'))]), true);
  await thumbnails(page).waitFor();
  assert.equal(await page.getByText('Drop pictures here').count(), 0);
  await page.getByText('notes.txt is no picture. PNG, JPEG, WebP and GIF can be sent.').waitFor();
});

browserTest('what cannot be read is said, and stands in no one\'s way', async ({ page }) => {
  const red = file('red.png', 'image/png', await picture(page, { width: 64, height: 64 }));
  await choose(page, file('IMG_1.HEIC', 'image/heic', Buffer.from('....ftypheic....')), red);
  await page.getByText('IMG_1.HEIC cannot be read').waitFor();
  await thumbnails(page).waitFor();
  await ask(page, 'What colour?');
  await phase(page, 'done');
  assert.equal((await sent(page)).length, 1);
});

browserTest('pictures can be removed, and are limited in number', async ({ page }) => {
  const red = await picture(page, { width: 64, height: 64 });
  await choose(page, ...Array.from({ length: 9 }, (_, i) => file(`red-${i}.png`, 'image/png', red)));
  await page.getByText('At most 8 pictures fit into one message.').waitFor();
  await until(async () => (await thumbnails(page).count()) === 8, 'eight thumbnails');
  await page.getByRole('button', { name: 'Remove red-3.png' }).click();
  assert.equal(await thumbnails(page).count(), 7);
  assert.equal(await page.getByRole('button', { name: 'Remove red-3.png' }).count(), 0);
});

browserTest('a model that cannot see is named, and another is offered', async ({ page }) => {
  server.models = [textModel, seeingModel];
  await page.reload();
  await page.getByRole('combobox', { name: 'Model' }).waitFor();
  await choose(page, file('red.png', 'image/png', await picture(page, { width: 64, height: 64 })));
  await page.getByText('writer-1 cannot see pictures.').waitFor();
  assert.ok(await page.getByRole('button', { name: 'Send' }).isDisabled());
  await page.press('#message', 'Enter');
  assert.equal(server.chats.length, 0);
  await page.getByRole('button', { name: 'Switch to seer-1' }).click();
  assert.equal(await page.getByText('cannot see pictures').count(), 0);
  await page.getByRole('button', { name: 'Send' }).click();
  await phase(page, 'done');
  assert.equal(server.chats[0].model, 'seer-1');
  // Going back to the blind model must not send it the picture of before.
  await page.getByRole('combobox', { name: 'Model' }).selectOption('writer-1');
  await ask(page, 'And now?');
  await until(() => server.chats.length === 2, 'the second request');
  assert.doesNotMatch(JSON.stringify(server.chats[1]), /image_url/);
});

browserTest('small pictures survive a reload, large ones leave a note', async ({ page }) => {
  await choose(page, file('red.png', 'image/png', await picture(page, { width: 64, height: 64 })));
  await thumbnails(page).waitFor();
  await ask(page, 'small');
  await phase(page, 'done');
  const noise = await page.evaluate(() => {
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 700;
    const context = canvas.getContext('2d');
    const data = context.createImageData(700, 700);
    for (let i = 0; i < data.data.length; i += 65_536) crypto.getRandomValues(data.data.subarray(i, Math.min(i + 65_536, data.data.length)));
    context.putImageData(data, 0, 0);
    return canvas.toDataURL('image/jpeg', 1).split(',')[1];
  });
  await choose(page, file('noise.jpg', 'image/jpeg', Buffer.from(noise, 'base64')));
  await thumbnails(page).waitFor();
  await ask(page, 'large');
  await until(() => server.chats.length === 2, 'the second request');
  await phase(page, 'done');
  await page.reload();
  await page.getByText('Picture (700×700), not kept when the page was reloaded').waitFor();
  await ask(page, 'and then');
  await until(() => server.chats.length === 3, 'the third request');
  assert.equal(server.chats[2].messages.at(-3).content, 'large');
});

browserTest('the colour model can be tried without a picture at hand', async ({ page }) => {
  server.models = [{ ...seeingModel, id: 'colour' }];
  server.onChat = (_body, response) => answer(response, 'The image is red.');
  await page.reload();
  await page.getByRole('button', { name: 'Send a red picture' }).click();
  await page.getByText('The image is red.').waitFor();
  assert.deepEqual((await sent(page))[0].first, [255, 0, 0]);
});
