import '../styles/base.css';
import '../styles/markdown.css';
import { mount } from 'svelte';
import { learn } from '../i18n.ts';
import { language } from '../lib/language.svelte.ts';
import { chatTexts } from '../texts/chat.ts';
import Chat from './Chat.svelte';

learn(chatTexts);
language.entitle('title');
const target = document.getElementById('app');
if (!target) throw new Error('the page has no #app');
mount(Chat, { target });
