// @ts-check
/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/** Finding and making elements, with a loud error where the markup and the scripts disagree. */

/**
 * The one element that a selector names.
 *
 * @template {Element} Kind
 * @param {string} selector
 * @param {new () => Kind} kind
 * @param {ParentNode} within
 * @returns {Kind}
 */
export function find(selector, kind, within = document) {
  const element = within.querySelector(selector);
  if (element instanceof kind) return element;
  throw new TypeError(`There is no ${kind.name} at ${selector}`);
}

/**
 * A new element from the `<template>` with that id.
 *
 * @param {string} id
 * @returns {HTMLElement}
 */
export function make(id) {
  const template = find(`#${id}`, HTMLTemplateElement);
  return /** @type {HTMLElement} */ (template.content.firstElementChild?.cloneNode(true));
}
