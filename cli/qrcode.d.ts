// What kith uses of qrcode, which ships no types.
declare module 'qrcode' {
  interface Options {
    /** `utf8`: two modules a character, as half blocks. */
    readonly type: 'utf8';
    readonly errorCorrectionLevel: 'L' | 'M' | 'Q' | 'H';
    /** Modules of quiet zone around it. */
    readonly margin: number;
    /** With white for dark and black for light, blocks stand for light modules. */
    readonly color?: { readonly dark: string; readonly light: string };
  }
  const qrcode: {
    /** Rejects with an error whose message says that the data is too big where no code can hold the text. */
    toString(text: string, options: Options): Promise<string>;
  };
  export default qrcode;
}
