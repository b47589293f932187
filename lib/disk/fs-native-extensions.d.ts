// What kith uses of fs-native-extensions, which ships no types.
declare module 'fs-native-extensions' {
  const extensions: {
    /** Locks a byte range of an open file (Linux: open file description lock); false if another opener has it. */
    tryLock(fd: number, offset: number, length: number): boolean;
  };
  export default extensions;
}
