import '../styles/base.css';
import '../styles/markdown.css';
import { mount } from 'svelte';
import Chat from './Chat.svelte';

const target = document.getElementById('app');
if (!target) throw new Error('the page has no #app');
mount(Chat, { target });
