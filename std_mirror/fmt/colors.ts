/**
 * Terminal colours: `@std/fmt/colors` with its official types, over the
 * untyped copy of the same code on npm. They stay out under `NO_COLOR`.
 *
 * @module
 */
import * as untyped from "deno-std/fmt/colors.js";

/** Bold text. */
export const bold: (str: string) => string = untyped.bold;
/** Dim text. */
export const dim: (str: string) => string = untyped.dim;
/** Red text. */
export const red: (str: string) => string = untyped.red;
/** Green text. */
export const green: (str: string) => string = untyped.green;
/** Yellow text. */
export const yellow: (str: string) => string = untyped.yellow;
/** Cyan text. */
export const cyan: (str: string) => string = untyped.cyan;
/** White text, as bright as the terminal has it. */
export const brightWhite: (str: string) => string = untyped.brightWhite;
/** Text on black. */
export const bgBlack: (str: string) => string = untyped.bgBlack;
/** Switches all colours on or off. */
export const setColorEnabled: (value: boolean) => void = untyped.setColorEnabled;
