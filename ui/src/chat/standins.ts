import type { PlainKey } from '../i18n.ts';

/** A model that is only there so that everything can be tried out, and what the page says about it. */
export interface StandIn {
  prefix: string;
  note: PlainKey;
  /** The example prompts that suit it: any, or pictures of one colour. */
  examples: 'general' | 'colours';
}

const standIns: StandIn[] = [
  { prefix: 'smollm2', note: 'standInSmollm2', examples: 'general' },
  { prefix: 'colour', note: 'standInColour', examples: 'colours' },
];

/** Looks at the last part of the id, so that `org/SmolLM2-135M` is found too. */
export function standInFor(model: string): StandIn | undefined {
  const name = model.toLowerCase().split('/').at(-1) ?? '';
  return standIns.find(({ prefix }) => name.startsWith(prefix));
}
