/** Styles are bundled, not imported by any module system. */
declare module "*.css";
