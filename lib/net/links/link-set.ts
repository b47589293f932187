import type { Link } from './link.ts';

/** Links that are alive, so that closing a transport can end them. */
export class LinkSet {
  readonly #links = new Set<Link>();

  add(link: Link): void {
    this.#links.add(link);
    link.stream.once('close', () => this.#links.delete(link));
  }

  async closeAll(): Promise<void> {
    await Promise.all([...this.#links].map((link) => link.close()));
  }
}
