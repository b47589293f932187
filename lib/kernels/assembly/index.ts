export { scanFirst } from './gear';
export { combineRows } from './reed-solomon';
