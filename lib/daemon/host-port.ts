export { hostPortText, parseHostPort } from '../base/host-port.ts';
