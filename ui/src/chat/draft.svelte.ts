import { t } from '../lib/language.svelte.ts';
import { MAX_IMAGES, looksLikeImage, preparePicture, type Picture } from '../lib/images.ts';
import { load, save, tabKeys } from '../lib/storage.ts';

/** What is being written and not sent yet. The text survives a reload. */
export class Draft {
  text = $state(load('session', tabKeys.draft) ?? '');
  pictures = $state.raw<Picture[]>([]);
  /** Pictures that are still being decoded. */
  reading = $state(0);
  /** It was sent before it could go out, and goes as soon as it can. */
  hurried = $state(false);
  /** What could not be attached, in words. */
  problems = $state.raw<string[]>([]);

  readonly empty: boolean = $derived(this.text.trim() === '' && this.pictures.length === 0);

  /** For every change of the text. */
  remember(): void {
    this.hurried = false;
    save('session', tabKeys.draft, this.text || undefined);
  }

  async attach(files: Iterable<File>): Promise<void> {
    this.problems = [];
    // In the order they were given, one after the other: many large photos at once would need gigabytes.
    for (const file of [...files]) {
      if (this.pictures.length + this.reading >= MAX_IMAGES) {
        this.#complain(t('tooManyAttached', { count: MAX_IMAGES }));
        return;
      }
      const name = file.name || t('imageUnnamed');
      if (!looksLikeImage(file)) {
        this.#complain(t('notAnImage', { name }));
        continue;
      }
      this.reading += 1;
      try {
        const picture = await preparePicture(file, name);
        this.pictures = [...this.pictures, picture];
      } catch {
        this.#complain(t('cannotDecode', { name }));
      } finally {
        this.reading -= 1;
      }
    }
  }

  remove(picture: Picture): void {
    this.pictures = this.pictures.filter((other) => other !== picture);
  }

  /** Hands the draft over and starts an empty one. */
  take(): { text: string; pictures: Picture[] } {
    const taken = { text: this.text.trim(), pictures: this.pictures };
    this.text = '';
    this.pictures = [];
    this.problems = [];
    this.remember();
    return taken;
  }

  #complain(problem: string): void {
    this.hurried = false; // whoever sent it with that picture decides anew
    this.problems = [...this.problems, problem];
  }
}
