const shades = { red: '#ff0000', green: '#008000', blue: '#0000ff' } as const;

/** A picture of one colour, for trying a vision model without searching for a photo first. */
export function colourSample(name: keyof typeof shades): Promise<File> {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 224;
  const context = canvas.getContext('2d');
  if (context) {
    context.fillStyle = shades[name];
    context.fillRect(0, 0, canvas.width, canvas.height);
  }
  return new Promise((resolve, reject) =>
    canvas.toBlob(
      (blob) => (blob ? resolve(new File([blob], `${name}.png`, { type: 'image/png' })) : reject(new Error('the canvas gave no image'))),
      'image/png',
    ),
  );
}
