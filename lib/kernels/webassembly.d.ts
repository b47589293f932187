// What kith uses of WebAssembly, which TypeScript declares for browsers only.
declare namespace WebAssembly {
  class Memory {
    constructor(descriptor: { readonly initial: number; readonly maximum: number; readonly shared: boolean });
    readonly buffer: SharedArrayBuffer;
  }
  class Module {
    constructor(bytes: Uint8Array);
    static exports(module: Module): { readonly name: string }[];
    static imports(module: Module): { readonly module: string; readonly name: string }[];
  }
  class Instance {
    constructor(module: Module, imports: Readonly<Record<string, Readonly<Record<string, Memory>>>>);
    readonly exports: unknown;
  }
  function validate(bytes: Uint8Array): boolean;
}
