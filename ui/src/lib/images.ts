/** The longest side that is sent: beyond it a model spends thousands of tokens and sees little more. */
export const MAX_SIDE = 1536;
/** The server's default for one request (`policy.max_images`). */
export const MAX_IMAGES = 8;
const KEEP_PNG_BYTES = 1_000_000;
const JPEG_QUALITY = 0.9;

export interface Size {
  width: number;
  height: number;
}

/** An image ready to be sent. */
export interface Picture extends Size {
  name: string;
  /** `data:` URL; empty where it did not survive a reload of the page. */
  url: string;
  bytes: number;
}

/** Halves go to the even neighbour, as in the Python of the model's preprocessor: 94.5 is 94. */
function roundHalfEven(value: number): number {
  const down = Math.floor(value);
  if (value - down !== 0.5) return Math.round(value);
  return down % 2 === 0 ? down : down + 1;
}

/**
 * What Qwen3-VL charges for an image: one token for each 32 by 32 pixels, between 64 and 16384
 * (patch 16, merge 2; area from 65,536 to 16,777,216 pixels).
 */
export function imageTokens({ width, height }: Size): number {
  return Math.max(64, Math.min(16_384, roundHalfEven(width / 32) * roundHalfEven(height / 32)));
}

/** The size at which an image is sent: never larger than it is, its longest side at most `MAX_SIDE`. */
export function fitted({ width, height }: Size): Size {
  const scale = Math.min(1, MAX_SIDE / Math.max(width, height));
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

const PNG_SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
/** What a PNG needs to be seen. All the rest (EXIF, places, comments, times) stays at home. */
const PNG_KEPT = new Set(['IHDR', 'PLTE', 'IDAT', 'IEND', 'tRNS', 'gAMA', 'cHRM', 'sRGB', 'iCCP', 'sBIT']);

/**
 * The PNG without its metadata, or undefined where it is not a plain, whole PNG, or where an orientation would have to
 * be applied (`eXIf`): such files are drawn anew.
 */
export function strippedPng(bytes: Uint8Array): Uint8Array | undefined {
  if (PNG_SIGNATURE.some((byte, index) => bytes[index] !== byte)) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const kept = [bytes.subarray(0, 8)];
  for (let at = 8; at + 12 <= bytes.length; ) {
    const end = at + 12 + view.getUint32(at);
    if (end > bytes.length) return undefined;
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (type === 'eXIf' || type === 'acTL') return undefined;
    if (PNG_KEPT.has(type)) kept.push(bytes.subarray(at, end));
    if (type === 'IEND') {
      const out = new Uint8Array(kept.reduce((sum, part) => sum + part.length, 0));
      kept.reduce((offset, part) => (out.set(part, offset), offset + part.length), 0);
      return out;
    }
    at = end;
  }
  return undefined;
}

export const looksLikeImage = (file: File): boolean =>
  file.type.startsWith('image/') || /\.(png|jpe?g|webp|gif|avif|bmp|heic|heif)$/i.test(file.name);

interface Decoded extends Size {
  source: CanvasImageSource;
  close: () => void;
}

/** Decodes with the orientation applied; throws where the browser does not know the format. */
async function decode(blob: Blob): Promise<Decoded> {
  try {
    const bitmap = await createImageBitmap(blob, { imageOrientation: 'from-image' });
    return { width: bitmap.width, height: bitmap.height, source: bitmap, close: () => bitmap.close() };
  } catch {
    return decodeByElement(blob); // Safari shows formats (HEIC) that it makes no bitmaps of
  }
}

async function decodeByElement(blob: Blob): Promise<Decoded> {
  const url = URL.createObjectURL(blob);
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
  } catch (error) {
    URL.revokeObjectURL(url);
    throw error;
  }
  return { width: image.naturalWidth, height: image.naturalHeight, source: image, close: () => URL.revokeObjectURL(url) };
}

function toBlob(canvas: HTMLCanvasElement): Promise<Blob> {
  return new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('the canvas gave no image'))), 'image/jpeg', JPEG_QUALITY),
  );
}

function toDataUrl(blob: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

/** Draws onto white, because JPEG knows no transparency and would turn it black. Drawing leaves all metadata behind. */
async function redraw(source: CanvasImageSource, { width, height }: Size): Promise<Blob> {
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext('2d');
  if (!context) throw new Error('no canvas');
  context.fillStyle = '#fff';
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = 'high';
  context.drawImage(source, 0, 0, width, height);
  return toBlob(canvas);
}

/** Makes a file ready to be sent: upright, without metadata, not too large, PNG or JPEG. Throws if it is no image. */
export async function preparePicture(file: Blob, name: string): Promise<Picture> {
  const image = await decode(file);
  try {
    const size = fitted(image);
    const unscaled = size.width === image.width && size.height === image.height;
    const png =
      unscaled && file.type === 'image/png' && file.size < KEEP_PNG_BYTES
        ? strippedPng(new Uint8Array(await file.arrayBuffer()))
        : undefined;
    const blob = png ? new Blob([png as BlobPart], { type: 'image/png' }) : await redraw(image.source, size);
    return { ...size, name, url: await toDataUrl(blob), bytes: blob.size };
  } finally {
    image.close();
  }
}
