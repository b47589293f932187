// Loaded before the tests (`--require`). To know which test an error comes from, Node's runner hooks every promise, and the end of each as
// well, which costs a tenth of all processor time, most of it in the garbage collector. Here a resource carries the number of its test
// itself, as AsyncLocalStorage does it: nothing has to be told when it goes. Tests run the same without this, only slower.
const hooks = require('node:async_hooks');
const { isMainThread } = require('node:worker_threads');

if (isMainThread) {
  const { createHook, executionAsyncId, executionAsyncResource } = hooks;
  const testId = Symbol('the test that a resource is of');
  hooks.createHook = ({ init }) =>
    createHook({
      init(id, type, trigger, resource) {
        if (type === 'Test') {
          init(id, type, trigger, resource);
          resource[testId] = id;
          return;
        }
        const test = executionAsyncResource()[testId];
        if (test !== undefined) resource[testId] = test;
      },
    });
  hooks.executionAsyncId = () => executionAsyncResource()[testId] ?? executionAsyncId();
  void require('node:test');
  Object.assign(hooks, { createHook, executionAsyncId });
}
